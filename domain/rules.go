package domain

// Rules is the version of the rules by which this program accepts commands, and the newest that it knows. The rules are the members of
// a client, what each may contain, its normal form, and the telephone numbers that the library knows. Version 1 is that of release 0.1.
//
// A command has the version under which it was accepted. A worker that does not know the version must not judge the command: it would
// reject what a newer ingress has accepted. CONTRIBUTING.md says when to increase Rules.
const Rules = 1
