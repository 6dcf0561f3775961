package control

// Patient returns a context that ends StopPatience after its parent.
var Patient = patient

// StopPatience is how long events in progress may take after the work was stopped.
const StopPatience = stopPatience
