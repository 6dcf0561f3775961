// Command clientele creates clients: it returns 202 over HTTP once a command is on disk, stores each client exactly
// once, and publishes client.created.
package main

import (
	"context"
	"os"

	"clientele/cmd/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
