package doctor

import (
	"time"

	"clientele/cmd/internal/inspect"
)

// Judgements of what a test cannot make a machine produce.
var (
	JudgeAnswer       = judgeAnswer
	JudgeCertificates = judgeCertificates
	JudgeDisk         = judgeDisk
)

// JudgeClock judges the clock of a server that was asked at a time, and answered a second later.
func JudgeClock(asked, says time.Time) inspect.Finding {
	return judgeClocks([]clock{{"NATS", asked, asked.Add(time.Second), says}})[0]
}
