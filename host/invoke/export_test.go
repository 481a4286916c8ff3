package invoke

// Running returns how many events are under way.
func (d *Dispatcher) Running() int { return int(d.running.Load()) }
