package models

import (
	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// MergePatch returns an object after a JSON Merge Patch (RFC 7396, section 2): keys of the patch
// replace those of the target, objects are merged, and a null removes its key. Numbers that
// the patch leaves alone keep their spelling. A patch that is absent or null gives {}.
func MergePatch(target, patch v1.Object) v1.Object {
	before, errTarget := decodeTree(target)
	changes, errPatch := decodeTree(patch)
	if errTarget != nil || errPatch != nil { // Neither is: both were decoded before.
		return target
	}
	if patch.IsEmpty() {
		return v1.Object("{}")
	}
	merge(before, changes)
	return before.encode()
}

func merge(target, patch map[string]any) {
	for key, value := range patch {
		if value == nil {
			delete(target, key)
			continue
		}
		changes, isObject := value.(map[string]any)
		if !isObject {
			target[key] = value
			continue
		}
		within, ok := target[key].(map[string]any)
		if !ok {
			within = map[string]any{}
		}
		merge(within, changes)
		target[key] = within
	}
}

// mergeLabels is a merge patch of labels. What is no text in the patch is for its decoder to refuse.
func mergeLabels(labels map[string]string, patch v1.Object) map[string]string {
	before := make(map[string]any, len(labels))
	for key, value := range labels {
		before[key] = value
	}
	changes, err := decodeTree(patch)
	if err != nil { // It was decoded before.
		return labels
	}
	if patch.IsNull() {
		clear(before)
	}
	merge(before, changes)
	merged := make(map[string]string, len(before))
	for key, value := range before {
		if text, ok := value.(string); ok {
			merged[key] = text
		}
	}
	return merged
}
