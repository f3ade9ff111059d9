// Package alarmtest has every cause that docs/operations.md names for an alarm happen to the real
// functions, and sees the alarm of template.yaml go off. A row without a case, a case without a row,
// and an alarm without a row fail.
package alarmtest
