package importer

import (
	"crypto/tls"
	"io"
	"strings"
	"time"
)

// Config configures Run.
type Config struct {
	// Path is the file, or "-" for Stdin.
	Path  string
	Stdin io.Reader
	// Format is csv, ndjson or auto. With auto, the extension of the file decides, or else its first character.
	Format string
	// Delimiter separates the columns of a CSV file.
	Delimiter rune
	// Map has the API's name for each column with another name, or "" for a column to skip. It applies to CSV only.
	Map map[string]string
	// KeyColumn is the column or member with a unique key for each row. It is not sent. If it is "", the key of a row derives from
	// its content.
	KeyColumn string
	// Rejects is the file for rejected rows. If it is "", they go to a file beside Path.
	Rejects string

	// URL is the base URL of the API, and Token the bearer token to send, or "".
	URL, Token string
	// UserAgent is the User-Agent header of the requests.
	UserAgent string
	// TLS is the configuration for an https URL. If it is nil, the system's certificate authorities are trusted.
	TLS *tls.Config
	// Connections is the number of requests in flight at once.
	Connections int
	// DryRun validates the rows without sending them. It prints the reasons to Output and writes no file.
	DryRun bool
	Output io.Writer

	// Progress receives a progress bar if Terminal is true, or else a line every 10 s. While the API accepts no rows, it receives a line
	// every 30 s that ends with OutageAdvice.
	Progress     io.Writer
	Terminal     bool
	OutageAdvice string
}

// Result is the result of an import.
type Result struct {
	Accepted, Rejected int
	Elapsed            time.Duration
	// RejectsPath is the file with the rejected rows, or "" if there are none. It is written only if the import is complete.
	RejectsPath string
	// RejectsTaken is an older file with other content, which occupies the usual name of RejectsPath, or "".
	RejectsTaken string
	// Removed is the imported rejects file that was removed because all of its rows were accepted, or "".
	Removed string
}

// checkKeyColumn refuses a key column that has another purpose, because it is not sent. The error is a *ConfigError.
func (c Config) checkKeyColumn() error {
	top, _, _ := strings.Cut(c.KeyColumn, ".")
	_, isMember := members[c.KeyColumn]
	_, isMapped := c.Map[c.KeyColumn]
	switch {
	case c.KeyColumn == "":
		return nil
	case isMember || top == "address" || top == "communicationPreferences":
		return configErrorf("KeyColumn", "%s is a member of the client, and the key column is not sent: name another column", c.KeyColumn)
	case isMapped:
		return configErrorf("KeyColumn", "%s is mapped, and the key column is not sent: name another column", c.KeyColumn)
	case isBookkeeping(c.KeyColumn):
		return configErrorf("KeyColumn", "%s is a column of rejects files: name another column", c.KeyColumn)
	}
	return nil
}
