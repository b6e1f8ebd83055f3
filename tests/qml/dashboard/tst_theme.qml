// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import Dashboard

// Contrast as WCAG 2 defines it, for each pair of colours that the window uses.
TestCase {
    name: "theme"

    function luminance(color) {
        const linear = [color.r, color.g, color.b].map(c => c <= 0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4))
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }
    function contrast(one, other) {
        const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b)
        return (lighter + 0.05) / (darker + 0.05)
    }
    function verifyContrast(name, foreground, surfaceName, surface, minimum) {
        const ratio = contrast(foreground, surface)
        verify(ratio >= minimum, "%1 on %2 has %3:1".arg(name).arg(surfaceName).arg(ratio.toFixed(2)))
    }
    function test_contrastFormula() {
        fuzzyCompare(contrast(Qt.color("#000000"), Qt.color("#ffffff")), 21, 0.01)
        fuzzyCompare(contrast(Qt.color("#777777"), Qt.color("#ffffff")), 4.48, 0.01)
    }
    function test_contrast_data() {
        return [{ tag: "light", dark: false }, { tag: "dark", dark: true }]
    }
    function test_contrast(data) {
        Theme.dark = data.dark
        const surfaces = {
            background: Theme.background, surface: Theme.surface, raised: Theme.raised,
            selected: Theme.tinted(Theme.accent, 0.16), alarm: Theme.tinted(Theme.bad, 0.07),
            "red banner": Theme.tinted(Theme.bad, 0.12), "yellow banner": Theme.tinted(Theme.warning, 0.12)
        }
        for (const name in surfaces) {
            const verifyOn = (foreground, minimum) => verifyContrast(foreground, Theme[foreground], name, surfaces[name], minimum)
            verifyOn("text", 7)
            verifyOn("muted", 4.5)
            if (name !== "selected" && name !== "alarm") // there are no controls on these surfaces
                verifyOn("control", 3)
        }
        for (const name of ["surface", "raised"]) {
            for (const meaning of ["accent", "good", "warning", "bad"])
                verifyContrast(meaning, Theme[meaning], name, surfaces[name], 4.5)
        }
        verifyContrast("bad", Theme.bad, "alarm", surfaces.alarm, 4.5)
        verifyContrast("bad", Theme.bad, "red banner", surfaces["red banner"], 4.5)
        verifyContrast("warning", Theme.warning, "yellow banner", surfaces["yellow banner"], 4.5)
        verifyContrast("accentText", Theme.accentText, "accent", Theme.accent, 4.5)
        verifyContrast("inverseText", Theme.inverseText, "inverse", Theme.inverse, 7)
        verifyContrast("inverseGood", Theme.inverseGood, "inverse", Theme.inverse, 4.5)
        verifyContrast("inverseBad", Theme.inverseBad, "inverse", Theme.inverse, 4.5)
    }
}
