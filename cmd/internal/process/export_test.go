package process

// GroupMemory is groupMemory.
var GroupMemory = groupMemory
