package console

import (
	"time"

	"github.com/vbauerster/mpb/v8"
)

// NewTerminalOn returns a Terminal that draws on a fake screen.
func NewTerminalOn(screen mpb.ConsoleWriter, now func() time.Time) *Terminal {
	return newTerminal(now, false, &fitted{ConsoleWriter: screen})
}

// NewColorTerminalOn is NewTerminalOn with colors.
func NewColorTerminalOn(screen mpb.ConsoleWriter, now func() time.Time) *Terminal {
	return newTerminal(now, true, &fitted{ConsoleWriter: screen})
}

// NewVerifyBarsOn returns VerifyBars that draw on a fake screen.
func NewVerifyBarsOn(screen mpb.ConsoleWriter) *VerifyBars {
	return newVerifyBars(false, &fitted{ConsoleWriter: screen})
}
