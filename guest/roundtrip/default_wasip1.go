package roundtrip

func init() { takeDefault() }
