// SPDX-License-Identifier: MIT
pragma Singleton
import QtQuick

// Colours, sizes and icons: everything that a designer may want to change.
QtObject {
    property bool dark: false

    // Surfaces, from the back to the front
    readonly property color background: dark ? "#0e131a" : "#f2f4f7"
    readonly property color surface: dark ? "#171e28" : "#ffffff"
    readonly property color raised: dark ? "#222c39" : "#eef1f5"
    readonly property color outline: dark ? "#2b3644" : "#dce1e8"
    readonly property color control: dark ? "#6b7a8d" : "#768291" // borders of controls, at least 3:1 on each surface

    // Text, at least 4.5:1 on each surface
    readonly property color text: dark ? "#e8edf3" : "#16202d"
    readonly property color muted: dark ? "#9eabba" : "#556171"
    readonly property color accentText: dark ? "#08131f" : "#ffffff"

    // Meaning, always together with a word or an icon; at least 4.5:1 on each surface
    readonly property color accent: dark ? "#5fa8ff" : "#1a62d6"
    readonly property color good: dark ? "#46c98a" : "#177a48"
    readonly property color warning: dark ? "#f2b545" : "#8f5600"
    readonly property color bad: dark ? "#ff8078" : "#bf2c2c"

    // Colours of the toast, which stands out by contrast
    readonly property color inverse: dark ? "#e8edf3" : "#1f2a38"
    readonly property color inverseText: dark ? "#16202d" : "#ffffff"
    readonly property color inverseGood: dark ? "#177a48" : "#46c98a"
    readonly property color inverseBad: dark ? "#bf2c2c" : "#ff8078"

    // Type scale
    readonly property int display: 28
    readonly property int value: 22
    readonly property int title: 18
    readonly property int heading: 14
    readonly property int body: 13
    readonly property int caption: 11
    readonly property string monospace: "monospace"

    // Grid of 4
    readonly property int tiny: 4
    readonly property int small: 8
    readonly property int medium: 12
    readonly property int large: 16
    readonly property int radius: 10
    readonly property int controlHeight: 36
    readonly property int duration: 160 // ms

    // Paths on 24 x 24, for Icon
    readonly property var icons: ({
        alert: "M12 4 L21.5 20 H2.5 Z M12 10 V14.5 M12 17 V17.2",
        back: "M19 12 H5 M11 6 L5 12 L11 18",
        check: "M5 12.5 L10 17.5 L19 7",
        close: "M6 6 L18 18 M18 6 L6 18",
        copy: "M9 9 H20 V20 H9 Z M15 9 V4 H4 V15 H9",
        down: "M12 5 V19 M6 13 L12 19 L18 13",
        filter: "M4 5 H20 L14 12.5 V19.5 L10 17.5 V12.5 Z",
        flat: "M6 12 H18",
        gauge: "M4.5 18 A9 9 0 1 1 19.5 18 M12 14 L16 9",
        inbox: "M3 13 L6 5 H18 L21 13 V19 H3 Z M3 13 H8.5 L10 16 H14 L15.5 13 H21",
        moon: "M20 14.5 A8.5 8.5 0 1 1 9.5 4 A7 7 0 0 0 20 14.5 Z",
        offline: "M3 3 L21 21 M8 8 H7 A4 4 0 0 0 7 16 H11 M13 8 H17 A4 4 0 0 1 20 14.6",
        pause: "M9 6 V18 M15 6 V18",
        play: "M8 5.5 L18.5 12 L8 18.5 Z",
        send: "M3.5 11 L20.5 4 L14 20.5 L11 13 Z M11 13 L20.5 4",
        settings: "M4 7 H12 M18 7 H20 M4 17 H6 M12 17 H20 M12 7 a3 3 0 1 0 6 0 a3 3 0 1 0 -6 0 M6 17 a3 3 0 1 0 6 0 a3 3 0 1 0 -6 0",
        sun: "M8 12 a4 4 0 1 0 8 0 a4 4 0 1 0 -8 0 M12 3 V5 M12 19 V21 M3 12 H5 M19 12 H21 M5.6 5.6 L7 7 M17 17 L18.4 18.4 M5.6 18.4 L7 17 M17 7 L18.4 5.6",
        up: "M12 19 V5 M6 11 L12 5 L18 11",
        wait: "M4 12 a8 8 0 1 0 16 0 a8 8 0 1 0 -16 0 M12 7.5 V12 L15 14"
    })

    function faint(color: color, opacity: real): color {
        return Qt.rgba(color.r, color.g, color.b, opacity)
    }
    function tinted(color: color, opacity: real): color { // a surface with a hue
        return Qt.tint(surface, faint(color, opacity))
    }
}
