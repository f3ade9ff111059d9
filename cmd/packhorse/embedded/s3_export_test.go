package embedded

// WithoutXattrs returns c for a file system without extended attributes.
func WithoutXattrs(c S3Config) S3Config {
	c.noXattrs = true
	return c
}

// At returns c for a server on this address, such as "127.0.0.1:1234".
func At(c S3Config, address string) S3Config {
	c.address = address
	return c
}
