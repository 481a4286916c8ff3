package abi

// LogRecord is one structured log line, given to log.
type LogRecord struct {
	Level   int32 // log/slog's numbers: -4 debug, 0 info, 4 warn, 8 error
	Message string
	Attrs   Pairs
	Unknown []Field
}

const (
	logLevel   = 1
	logMessage = 2
	logAttrs   = 3
)

// AppendLogRecord appends rec's frame to dst.
func AppendLogRecord(dst []byte, rec *LogRecord) []byte {
	w := writeFrame(dst, frameLogRecord, rec.Unknown)
	w.u32(logLevel, uint32(rec.Level))
	w.str(logMessage, rec.Message)
	w.pairs(logAttrs, rec.Attrs)
	return w.finish()
}

// Decode sets *rec from the frame b and borrows b's bytes. On error *rec is
// the zero LogRecord.
func (rec *LogRecord) Decode(b []byte) error {
	*rec = LogRecord{}
	var r frameReader
	for typ, data := range r.fields(b, frameLogRecord) {
		switch typ {
		case logLevel:
			rec.Level = int32(r.u32(data))
		case logMessage:
			rec.Message = r.string(data)
		case logAttrs:
			rec.Attrs = r.pairs(data, nil)
		default:
			rec.Unknown = append(rec.Unknown, Field{typ, data})
		}
	}
	if r.err == nil && len(b) > MaxLogRecord {
		r.err = ErrTooLarge
	}
	if r.err != nil {
		*rec = LogRecord{}
	}
	return r.err
}
