package raftwire

// What the tests of whole clusters need to speak as a node would.
var (
	EncodeAppend  = encodeAppend
	EncodeInstall = encodeInstall
	EncodeVote    = encodeVote
)

// CacheEntries is how many entries are read from memory.
const CacheEntries = cacheEntries
