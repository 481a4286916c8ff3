package sys

import (
	"strconv"

	"spore/abi"
)

// Bounds that keep a record within abi.MaxLogRecord.
const (
	maxMessage = 16 << 10
	maxAttrs   = 40 << 10 // bytes of all names and values
	maxPairs   = abi.MaxPairs - 2
)

// LogFrame returns a LogRecord frame for Log. It always fits: what of the record
// does not is clipped or left out, and an attribute "dropped" counts what was left
// out.
func LogFrame(level int32, message string, attrs abi.Pairs) []byte {
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	return abi.AppendLogRecord(nil, &abi.LogRecord{Level: level, Message: message, Attrs: fit(attrs)})
}

// fit returns as many of the pairs, in order, as a record has room for.
func fit(pairs abi.Pairs) abi.Pairs {
	room := maxAttrs
	for i := range pairs {
		const lengths = 8 // what a pair costs beside its bytes
		room -= len(pairs[i].Name) + len(pairs[i].Value) + lengths
		if room < 0 || i == maxPairs {
			dropped := strconv.Itoa(len(pairs) - i)
			return append(pairs[:i:i], abi.Pair{Name: "dropped", Value: dropped})
		}
	}
	return pairs
}
