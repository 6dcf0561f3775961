package importer

import (
	"crypto/tls"
	"io"
	"strings"
	"time"
)

// Config says what to import, and where to.
type Config struct {
	// Path is the file, or - for Stdin.
	Path  string
	Stdin io.Reader
	// Format is csv, ndjson or auto: by the file's name, else by its first character.
	Format string
	// Delimiter separates the columns of a CSV file.
	Delimiter rune
	// Map has the API's name of a column, or "" for a column to skip.
	Map map[string]string
	// KeyColumn is the column or member with a unique key for each row. It is not sent. Without it the content is the key.
	KeyColumn string
	// Rejects is the file to write rejected rows to, beside Path if it is "".
	Rejects string

	// URL is that of the API, and Token the credential to send.
	URL, Token string
	// UserAgent is the name and version that the API sees.
	UserAgent string
	// TLS is for a URL with https. The authorities of the system are trusted if it is nil.
	TLS *tls.Config
	// Connections is the number of requests in flight at once.
	Connections int
	// DryRun validates the rows without sending them, and prints the reasons to Output instead of writing a file.
	DryRun bool
	Output io.Writer

	// Progress receives a progress bar if Terminal is true, else a line every 10 s.
	Progress io.Writer
	Terminal bool
}

// Result says what happened to the rows of a file.
type Result struct {
	Accepted, Rejected int
	Elapsed            time.Duration
	// RejectsPath is the file that has the rejected rows, "" if there are none. It is not written unless all rows were read and
	// answered.
	RejectsPath string
	// RejectsTaken is an older file with other content, which kept the name that RejectsPath would have had otherwise.
	RejectsTaken string
	// Removed is the imported file of rejects that was removed, because all of its rows were accepted.
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
