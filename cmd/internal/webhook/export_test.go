package webhook

// For tests of the decisions.
var (
	Hopeless   = hopeless
	PauseAfter = pauseAfter
)
