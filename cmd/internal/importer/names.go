package importer

import (
	"fmt"
	"path/filepath"
	"regexp"
)

// rejectsName matches the name of a rejects file. Its groups are the stem and the extension of the originally imported file.
var rejectsName = regexp.MustCompile(`^(.+)\.rejects(?:\.\d+)?(\.[^.]+)?$`)

// numbered returns the n-th variant of a path: clients.rejects.csv, clients.rejects.2.csv, ….
func numbered(path string, n int) string {
	if n == 1 {
		return path
	}
	stem, extension := split(path)
	return fmt.Sprintf("%s.%d%s", stem, n, extension)
}

func split(path string) (stem, extension string) {
	extension = filepath.Ext(path)
	if extension == ".rejects" {
		extension = ""
	}
	return path[:len(path)-len(extension)], extension
}
