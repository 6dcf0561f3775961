package cli

import (
	"clientele/cmd/internal/app"
)

// run runs a process until the context ends, and calls started, unless it is nil, when it runs.
func run(e env, log logFlags, o app.Options, started func(*app.App)) error {
	o.Process = e.process(o.Process, log)
	a, err := app.New(o)
	if err != nil {
		return err
	}
	return a.Run(e.ctx, func() {
		if started != nil {
			started(a)
		}
	})
}

// process completes the options of a process or a job with its surroundings.
func (e env) process(o app.ProcessOptions, log logFlags) app.ProcessOptions {
	o.Log = log.logger(e)
	o.Version = buildVersion()
	o.Console = e.stdout
	o.MemoryLimited = e.getenv("GOMEMLIMIT") != ""
	o.Explain = advise
	return o
}
