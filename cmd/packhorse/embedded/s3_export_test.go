package embedded

// WithoutXattrs is c for a file system that has no extended attributes.
func WithoutXattrs(c S3Config) S3Config {
	c.noXattrs = true
	return c
}
