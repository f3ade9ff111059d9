package contents

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// Table lists the files in the order of the directory, at most limit of them unless that is 0. Width is that
// of the terminal, or 0.
func Table(out io.Writer, d zipinspect.Directory, limit, width int) error {
	shown := d.Members
	if limit > 0 && len(shown) > limit {
		shown = shown[:limit]
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %s unpacked, as the ZIP's directory says:\n", files(d.Content.Entries),
		console.Bytes(d.Content.UncompressedSize))
	g := console.Grid{Width: width}
	g.Row("  #", "SIZE", "NAME")
	for i, m := range shown {
		g.Row("  "+strconv.Itoa(i+1), console.Bytes(m.Size), console.CleanLine(m.Name)+remark(m))
	}
	_, err := g.WriteTo(&text)
	if err != nil {
		return err
	}
	if more := len(d.Members) - len(shown); more > 0 {
		fmt.Fprintf(&text, "  … %d more: --limit 0 shows all\n", more)
	}
	for _, remark := range d.Content.Remarks {
		text.WriteString(console.CleanLine(console.Fill(remark, "  ! ", "    ")) + "\n")
	}
	_, err = io.WriteString(out, text.String())
	return err
}

func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

// remark says why a file cannot be shown.
func remark(m zipinspect.Member) string {
	if m.Encrypted {
		return "  (encrypted)"
	}
	return ""
}

// File is a file of a package as JSON.
type File struct {
	Number     int    `json:"number"` // from 1
	Name       string `json:"name"`   // bytes that are not UTF-8 become U+FFFD
	Size       int64  `json:"size"`   // bytes, as declared
	Compressed int64  `json:"compressedSize"`
	CRC32      string `json:"crc32"` // hexadecimal
	Method     uint16 `json:"method"`
	Encrypted  bool   `json:"encrypted"`
}

// Listing is what is in a package as JSON.
type Listing struct {
	Files            []File   `json:"files"`
	UncompressedSize int64    `json:"uncompressedSize"` // bytes, as declared
	Remarks          []string `json:"remarks"`
}

// NewListing returns the listing of a directory.
func NewListing(d zipinspect.Directory) Listing {
	l := Listing{Files: []File{}, UncompressedSize: d.Content.UncompressedSize, Remarks: remarks(d.Content)}
	for i, m := range d.Members {
		l.Files = append(l.Files, File{
			Number: i + 1, Name: m.Name, Size: m.Size, Compressed: m.Compressed, CRC32: fmt.Sprintf("%08x", m.CRC32),
			Method: m.Method, Encrypted: m.Encrypted,
		})
	}
	return l
}

func remarks(c investigation.Content) []string { return append([]string{}, c.Remarks...) }
