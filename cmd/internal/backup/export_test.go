package backup

// Functions that the tests call.
var (
	Encode  = encode
	Decode  = decode
	Compare = compare
)
