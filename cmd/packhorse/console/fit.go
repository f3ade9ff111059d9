package console

import "strings"

// Fit breaks running text at words to fit a terminal of width columns. The text was written for LineMax columns:
// a line so full that the next word would not have fit continues in the next line. A description beside a word,
// behind two spaces or more, continues below its own beginning. A line that a person would copy, such as a
// command, is left as it is. Width 0 means no limit.
func Fit(text string, width int) string {
	return reflow(text, width, func(lines []string, i int) bool { return width < LineMax && continues(lines, i) })
}

// FitLines is Fit for text whose line ends are meant.
func FitLines(text string, width int) string {
	return reflow(text, width, func([]string, int) bool { return false })
}

// reflow breaks lines to fit the width. Before that it joins line i with the next if more says so.
func reflow(text string, width int, more func(lines []string, i int) bool) string {
	if width <= 0 {
		return text
	}
	var out []string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if isCommand(lines, i) || measure.StringWidth(line) <= width && !more(lines, i) {
			out = append(out, line)
			continue
		}
		hang := hangOf(line, width)
		first, words := line[:hang], line[hang:]
		for ; more(lines, i); i++ {
			words += " " + lines[i+1]
		}
		out = append(out, FillTo(width, words, first, strings.Repeat(" ", measure.StringWidth(first))))
	}
	return strings.Join(out, "\n")
}

// fullMin is how many columns a line and the first word of the next one take if the text was broken between
// them only because of its width. Texts are not always broken at the last possible word.
const fullMin = LineMax - 4

// continues reports whether line i of the lines goes on in the next one.
func continues(lines []string, i int) bool {
	if i+1 >= len(lines) || isCommand(lines, i) || strings.TrimSpace(lines[i]) == "" {
		return false
	}
	next := strings.TrimLeft(lines[i+1], " ")
	word, _, _ := strings.Cut(next, " ")
	indent := len(lines[i+1]) - len(next)
	return next != "" && indent == hangOf(lines[i], LineMax) &&
		measure.StringWidth(lines[i])+1+measure.StringWidth(word) >= fullMin
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// hangOf returns where the text of a line begins: behind its last gap of two spaces or more, if that leaves
// enough of the width, otherwise behind its indentation.
func hangOf(line string, width int) int {
	indent := indentOf(line)
	gap := strings.LastIndex(strings.TrimRight(line, " "), "  ")
	if gap >= indent && measure.StringWidth(line[:gap+2]) <= width*2/3 {
		return gap + 2
	}
	return indent
}

// isCommand reports whether line i is part of an indented command without a description.
func isCommand(lines []string, i int) bool {
	line := lines[i]
	text := strings.TrimLeft(line, " ")
	const onward = " \\" // the command goes on in the next line
	switch {
	case text == line || strings.Contains(text, "  "):
		return false
	case strings.HasSuffix(line, onward) || i > 0 && strings.HasSuffix(lines[i-1], onward):
		return true
	default:
		return strings.HasPrefix(text, "packhorse ") || strings.HasPrefix(text, "$ ")
	}
}
