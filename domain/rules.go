package domain

import (
	"fmt"
	"strconv"
)

// Rules is the version of the rules by which this program accepts commands, and the newest that it knows. The rules are the members of
// a client, what each may contain, its normal form, and the telephone numbers that the library knows. Version 1 is that of release 0.1.
//
// A command has the version under which it was accepted. A worker that does not know the version must not judge the command: it would
// reject what a newer ingress has accepted. CONTRIBUTING.md says when to increase Rules.
const Rules = 1

// rules returns the version of the rules under which the command was accepted. A command of release 0.1 does not state it.
func (m CommandMessage) rules() (int, error) {
	value := m.header(HeaderRules)
	if value == "" {
		return 1, nil
	}
	version, err := strconv.Atoi(value)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("header %s is not a version", HeaderRules)
	}
	return version, nil
}

// IsNewer reports whether the command was accepted under rules that this program does not know. Leave it to a newer one.
func (m CommandMessage) IsNewer() bool {
	version, err := m.rules()
	return err == nil && version > Rules
}
