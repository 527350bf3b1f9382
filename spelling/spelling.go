// Package spelling finds the word that somebody meant who typed another one.
package spelling

import "strings"

// Nearest returns the candidate that a misspelt word most likely means, or "" where none is close.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", 1+len(word)/3
	word = strings.ToLower(word)
	for _, c := range candidates {
		if max(len(word)-len(c), len(c)-len(word)) > bestDistance {
			continue // so many edits at least; and a long word would take long
		}
		if d := distance(word, strings.ToLower(c)); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance with a swap of neighbours counted as one edit.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
