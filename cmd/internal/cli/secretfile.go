package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// secretFile is the flag of a file with a secret: its value is the content of the file. Unlike the command line and the environment, a
// file is not visible to other users of the machine.
type secretFile string

// UnmarshalText reads the file without the white space around its content. It refuses a file that other users may write.
func (f *secretFile) UnmarshalText(path []byte) error {
	file, err := os.Open(string(path))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("other users may write %s: run chmod go-w %s", path, path)
	}
	const most = 64 << 10
	content, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return err
	}
	*f = secretFile(strings.TrimSpace(string(content)))
	if *f == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

// onlyOne refuses a secret that is given twice.
func onlyOne(flag, value string, file secretFile) error {
	if value != "" && file != "" {
		return errors.New("pass --" + flag + " or --" + flag + "-file, not both")
	}
	return nil
}
