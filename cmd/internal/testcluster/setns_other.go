//go:build !linux

package testcluster

import (
	"errors"
	"os"
)

func setNetwork(*os.File) error { return errors.ErrUnsupported }
