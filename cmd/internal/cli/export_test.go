package cli

// What tests of the command line see of it.

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
