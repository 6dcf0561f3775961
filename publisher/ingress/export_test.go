package ingress

// ProblemTypes are all types of problems.
var ProblemTypes = problemTypes[:]
