package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"clientele/domain"

	"github.com/google/uuid"
)

// readIDs returns the ids in a file, one per line, each once. The path - is standard input. Its errors quote no line.
func readIDs(e env, path string) (ids []uuid.UUID, err error) {
	in := e.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--from: %w", err)
		}
		defer file.Close()
		in = file
	}
	seen := map[uuid.UUID]bool{}
	lines := bufio.NewScanner(in)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		id, err := domain.ParseID(line)
		if err != nil {
			return nil, &usageError{fmt.Sprintf("--from: line %d is not a UUID; nothing was erased", number)}
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	if len(ids) == 0 {
		return nil, &usageError{"--from: the file has no ids"}
	}
	return ids, nil
}
