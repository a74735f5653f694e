package schemas

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// before finds in the spec that was there what a path of the new one leads to.
type before struct {
	old, new any // decoded with numbers as doubles, so that 1 and 1.0 are equal
	// lists are the origins of the elements of the lists that were passed, by their paths.
	lists map[string][]int
}

// trace returns the path that something had before, and both values; ok is false if it was not
// there, because the list that it is in has got it as a new element. A value that is absent is nil.
func (b *before) trace(path []string) (origin []string, pair values, ok bool) {
	pair = values{old: present{b.old, true}, new: present{b.new, true}}
	for i, segment := range path {
		from := segment
		if list, isList := pair.new.value.([]any); isList {
			at, err := strconv.Atoi(segment)
			sources := b.origins(path[:i], pair.old.value, list)
			if err != nil || at >= len(sources) || sources[at] < 0 {
				return nil, values{}, false
			}
			from = strconv.Itoa(sources[at])
		}
		origin = append(origin, from)
		pair = values{old: pair.old.child(from), new: pair.new.child(segment)}
	}
	return origin, pair, true
}

// present is a value that may be absent.
type present struct {
	value any
	there bool
}

func (p present) child(segment string) present {
	switch parent := p.value.(type) {
	case map[string]any:
		value, there := parent[segment]
		return present{value, there}
	case []any:
		if i, err := strconv.Atoi(segment); err == nil && i < len(parent) {
			return present{parent[i], true}
		}
	}
	return present{}
}

// values are what is at a place now and what was there.
type values struct{ old, new present }

// unchanged reports whether both are equal, or absent.
func (v values) unchanged() bool { return reflect.DeepEqual(v.old, v.new) }

// container reports whether both are objects, or lists: then only what they hold may have changed.
func (v values) container() bool {
	switch v.new.value.(type) {
	case map[string]any:
		_, was := v.old.value.(map[string]any)
		return was
	case []any:
		_, was := v.old.value.([]any)
		return was
	}
	return false
}

func (b *before) origins(path []string, old any, now []any) []int {
	key := joined(path)
	known, ok := b.lists[key]
	if !ok {
		was, _ := old.([]any)
		known = origins(was, now)
		b.lists[key] = known
	}
	return known
}

// origins says of each element of a list which one it was before, -1 for a new one: an equal one,
// if possible at its own place, since elements move when others come and go; else the one that
// was at its place, unless that has moved.
func origins(was, now []any) []int {
	from, taken := make([]int, len(now)), make([]bool, len(was))
	rest := map[string][]int{}
	for i := range now {
		from[i] = -1
		if i < len(was) && reflect.DeepEqual(was[i], now[i]) {
			from[i], taken[i] = i, true
		}
	}
	for i, element := range was {
		if !taken[i] {
			rest[text(element)] = append(rest[text(element)], i)
		}
	}
	for i, element := range now {
		if from[i] >= 0 || len(rest) == 0 {
			continue
		}
		if equal := rest[text(element)]; len(equal) > 0 {
			from[i], taken[equal[0]] = equal[0], true
			rest[text(element)] = equal[1:]
		}
	}
	for i := range now {
		if from[i] < 0 && i < len(was) && !taken[i] {
			from[i] = i
		}
	}
	return from
}

// text returns a text that equal values share.
func text(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil { // Only values that were decoded before.
		panic("schemas: encode a decoded value: " + err.Error())
	}
	return string(encoded)
}

// surplus is how many elements of a list are equal to an earlier one.
func surplus(list []any) int {
	seen := map[string]bool{}
	for _, element := range list {
		seen[text(element)] = true
	}
	return len(list) - len(seen)
}
