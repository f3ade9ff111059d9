package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// togetherMax bounds the writes that share a transaction, so that other processes get their turn.
const togetherMax = 64

// write is a change of the file that somebody waits for.
type write struct {
	ctx  context.Context
	f    func(context.Context, *sql.Tx) error
	err  error         // valid once done is closed
	done chan struct{} // closed when the change is on the disk, or has failed
}

// group gathers writes. Most of a transaction is waiting for the disk, so the writes that come during one are all
// made in the next, each as if it had a transaction to itself.
type group struct {
	mu      sync.Mutex // guards what follows
	waiting []*write
	working bool // a goroutine takes the waiting writes
}

// write runs f in a transaction that holds the write lock from the start, and returns when that has reached the disk.
// If f returns an error, nothing of it is written. f may run twice, and MUST use its context, which is not canceled:
// SQLite would undo more than one statement. A write that has begun when ctx ends is finished.
func (db *DB) write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w := &write{ctx: ctx, f: f, done: make(chan struct{})}
	db.group.mu.Lock()
	db.group.waiting = append(db.group.waiting, w)
	if !db.group.working {
		db.group.working = true
		go db.work()
	}
	db.group.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		if db.group.withdraw(w) {
			return ctx.Err()
		}
		<-w.done
	}
	return w.err
}

// withdraw takes a write back. It returns false if the write has begun.
func (g *group) withdraw(w *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, w)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	return i >= 0
}

// take returns the writes to make next, in the order in which they came. Without any, the work ends.
func (g *group) take() []*write {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), togetherMax)
	g.working = n > 0
	next := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return next
}

// work makes the waiting writes, until there are none.
func (db *DB) work() {
	for {
		writes := db.group.take()
		if len(writes) == 0 {
			return
		}
		if !db.together(writes) {
			for _, w := range writes {
				w.err = db.alone(w)
			}
		}
		for _, w := range writes {
			close(w.done)
		}
	}
}

// together makes the writes in one transaction. It returns false, having written nothing, if SQLite gave that up
// because of one of them, such as for lack of space: each is worth a transaction of its own then.
func (db *DB) together(writes []*write) bool {
	if len(writes) == 1 {
		writes[0].err = db.alone(writes[0])
		return true
	}
	fail := func(err error) bool {
		for _, w := range writes {
			w.err = err
		}
		return true
	}
	tx, err := db.sql.BeginTx(context.Background(), nil)
	if err != nil {
		return fail(err)
	}
	for _, w := range writes {
		if !w.within(tx) {
			_ = tx.Rollback() // SQLite has done so, as a rule
			return false
		}
	}
	if err := tx.Commit(); err != nil {
		return fail(err) // may have been written: trying again is not ours to decide
	}
	return true
}

// within makes the write a part of the transaction, or undoes it and notes why. It returns false if the transaction
// does not exist any more.
func (w *write) within(tx *sql.Tx) bool {
	ctx := context.WithoutCancel(w.ctx)
	_, err := tx.ExecContext(ctx, "SAVEPOINT one")
	if err != nil {
		return false
	}
	end := "RELEASE one"
	w.err = w.f(ctx, tx)
	if w.err != nil {
		end = "ROLLBACK TO one; RELEASE one"
	}
	_, err = tx.ExecContext(ctx, end) // fails without the transaction, which takes its savepoints with it
	return err == nil
}

// alone makes the write in a transaction of its own.
func (db *DB) alone(w *write) error {
	ctx := context.WithoutCancel(w.ctx)
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = w.f(ctx, tx)
	if err == nil {
		return tx.Commit()
	}
	undo := tx.Rollback()
	if undo != nil {
		undo = fmt.Errorf("undo the change: %w", undo)
	}
	return errors.Join(err, undo)
}
