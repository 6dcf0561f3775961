package backup

// What the tests look at.
var (
	Encode  = encode
	Decode  = decode
	Compare = compare
)
