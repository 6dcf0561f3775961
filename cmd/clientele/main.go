// Command clientele registers new clients. It responds with 202 over HTTP when a command is on disk, stores each client exactly once,
// and publishes client.created. Run clientele --help for its commands.
package main

import (
	"context"
	"os"

	"clientele/cmd/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
