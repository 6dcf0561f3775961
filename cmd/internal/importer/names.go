package importer

import (
	"fmt"
	"path/filepath"
	"regexp"
)

// rejectsName matches the name of a file of rejects. Its groups are the name of the file that was imported first.
var rejectsName = regexp.MustCompile(`^(.+)\.rejects(?:\.\d+)?(\.[^.]+)?$`)

// numbered returns the n-th name of a file: clients.rejects.csv, clients.rejects.2.csv, ….
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
