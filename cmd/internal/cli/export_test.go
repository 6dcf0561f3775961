package cli

// Internals that the tests of the command line use.

type (
	CLI        = cli
	CloudEvent = cloudEvent
)

const TableRows = tableRows

var (
	Advise         = advise
	CountOf        = countOf
	Display        = display
	DisplayJSON    = displayJSON
	ParseDisplayed = parseDisplayed
	Unprintable    = unprintable
)
