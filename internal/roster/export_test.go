package roster

// Kept returns how many entries are kept.
func (r *Roster) Kept() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.kept)
}
