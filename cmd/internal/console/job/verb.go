package job

import "clientele/cmd/internal/rejected"

// Verb is what an operator does with rejections.
type Verb string

// The verbs.
const (
	Retry Verb = "retry"
	Drop  Verb = "drop"
)

// Done returns the past participle.
func (v Verb) Done() string {
	if v == Drop {
		return "dropped"
	}
	return "retried"
}

// Title returns the verb at the beginning of a sentence.
func (v Verb) Title() string {
	if v == Drop {
		return "Drop"
	}
	return "Retry"
}

// IsDrop reports whether it deletes data.
func (v Verb) IsDrop() bool { return v == Drop }

// Settlement returns what carries it out, and false for an unknown verb.
func (v Verb) Settlement() (rejected.Settlement, bool) {
	switch v {
	case Retry:
		return rejected.Retry(), true
	case Drop:
		return rejected.Drop(), true
	}
	return rejected.Settlement{}, false
}
