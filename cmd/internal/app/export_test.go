package app

// AllowHost is the check of the Host header of an API with these options.
func (o *APIOptions) AllowHost(allowed []string) func(host string) bool { return o.allowHost(allowed) }
