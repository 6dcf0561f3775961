// Package bundle collects what helps to find the cause of a problem, without personal data and secrets.
package bundle

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"clientele/cmd/internal/inspect/doctor"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// dir is the directory in the archive.
const dir = "clientele-debug/"

// readme says what the archive has.
const readme = `What clientele debug has collected:

report.txt      status and doctor, as a person reads them
status.json     throughput, backlog, streams, subscribers, database
doctor.json     the checks of the set-up
versions.json   versions of programs and servers
settings.json   environment variables of flags; (set) in place of a value that may be secret
servers.json    what NATS servers report on their monitoring ports, if these were given
streams.json    settings and state of the streams and of durable consumers; no messages
admin-N/        readiness and metrics of a process

It has no client data, keys or passwords. It has names of hosts, servers, subscribers and API keys. Read it before you send it.
`

// Write writes a ZIP archive, and returns the names of its files.
func Write(ctx context.Context, w io.Writer, cfg Config) (names []string, err error) {
	files := map[string]string{"README.txt": readme}
	add := func(name string, value any) error {
		text, err := json.Marshal(value, json.Deterministic(true), jsontext.WithIndent("  "), jsonv1.FormatDurationAsNano(true))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files[name] = string(text) + "\n"
		return nil
	}
	report := doctor.Run(ctx, cfg.Config)
	status, streams := look(ctx, cfg)
	servers := doctor.Servers(ctx, cfg.Config)
	files["report.txt"] = cfg.Text(status, report)
	for name, value := range map[string]any{
		"status.json": status, "doctor.json": report, "streams.json": streams, "servers.json": servers, "settings.json": cfg.Settings,
		"versions.json": map[string]string{
			"clientele": cfg.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
			"nats": status.NATS.Version, "database": strings.TrimSpace(status.Database.Product + " " + status.Database.Version),
		},
	} {
		if err := add(name, value); err != nil {
			return nil, err
		}
	}
	for i, admin := range cfg.Admins {
		for path, name := range map[string]string{"/readyz": "readyz.json", "/metrics": "metrics.txt"} {
			files[fmt.Sprintf("admin-%d/%s", i+1, name)] = read(ctx, admin, path)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return slices.Sorted(maps.Keys(files)), archive(w, files, cfg.redactor())
}

func archive(w io.Writer, files map[string]string, redact *strings.Replacer) error {
	z := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file, err := z.CreateHeader(&zip.FileHeader{Name: dir + name, Method: zip.Deflate, Modified: time.Now().UTC()})
		if err == nil {
			_, err = redact.WriteString(file, files[name])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return z.Close()
}
