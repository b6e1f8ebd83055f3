// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// The latest value of one sensor, and its recent history.
Card {
    id: tile

    required property var message   // the latest reading, an AmqpQt::Message
    property real now: 0            // in milliseconds; moves on while nothing arrives
    property int staleAfter: 5000
    property var limits: ({})       // of each quantity: [lowest, highest]

    readonly property var keyParts: message.routingKey.split(".")   // sensor.1.temperature
    readonly property string quantity: keyParts[2] ?? message.routingKey
    readonly property var range: limits[quantity] ?? [-Infinity, Infinity]
    readonly property real value: values[values.length - 1] ?? NaN
    property var values: []
    property string unit
    property real receivedAt: 0

    readonly property real age: Math.max(0, now - receivedAt)   // of the latest message, in milliseconds
    readonly property bool stale: age > staleAfter
    readonly property bool high: value > range[1]
    readonly property bool low: value < range[0]
    readonly property color tone: stale ? Theme.muted : high || low ? Theme.bad : Theme.accent
    readonly property string note: stale ? (age < 120000 ? qsTr("No value for %1 s").arg(Math.round(age / 1000))
            : qsTr("No value for %1 min").arg(Math.round(age / 60000)))
        : high ? qsTr("Above %L1").arg(range[1]) : low ? qsTr("Below %L1").arg(range[0]) : qsTr("Sensor %1").arg(keyParts[1] ?? "")
    readonly property string trend: {
        const before = values.slice(-16, -4)
        const recent = values.slice(-4)
        if (before.length < 4)
            return "flat"
        const mean = list => list.reduce((sum, x) => sum + x, 0) / list.length
        const change = (mean(recent) - mean(before)) / Math.max(1e-9, range[1] - range[0])
        return change > 0.1 ? "up" : change < -0.1 ? "down" : "flat"
    }

    function take() {
        receivedAt = Date.now()
        const reading = message.json("value")
        if (typeof reading !== "number")
            return
        unit = message.json("unit") ?? ""
        values = values.concat(reading).slice(-60)
    }
    onMessageChanged: take()

    padding: Theme.medium
    implicitHeight: 120
    outline: !stale && (high || low) ? Theme.faint(tone, 0.7) : Theme.outline
    color: stale ? Theme.background : high || low ? Theme.tinted(Theme.bad, 0.07) : Theme.surface
    Accessible.role: Accessible.StaticText
    Accessible.name: qsTr("Sensor %1, %2: %3 %4. %5").arg(keyParts[1]).arg(quantity).arg(number.text).arg(unit).arg(note)

    ColumnLayout {
        anchors.fill: parent
        spacing: 0
        RowLayout {
            spacing: Theme.tiny
            Label {
                Layout.fillWidth: true
                text: tile.quantity.charAt(0).toUpperCase() + tile.quantity.slice(1)
                textFormat: Text.PlainText
                elide: Text.ElideRight
                color: tile.stale ? Theme.muted : Theme.text
                font.pixelSize: Theme.body
            }
            Icon {
                name: tile.stale ? "wait" : tile.trend
                size: 16
                color: Theme.muted
            }
        }
        Caption {
            Layout.fillWidth: true
            text: tile.note
            color: tile.stale || !(tile.high || tile.low) ? Theme.muted : Theme.bad
        }
        RowLayout {
            spacing: Theme.tiny
            Layout.topMargin: 2
            Layout.bottomMargin: Theme.tiny
            Label {
                id: number
                text: isNaN(tile.value) ? "–" : Math.abs(tile.value) < 1e6 ? tile.value.toLocaleString(Qt.locale(), "f", 1)
                    : tile.value.toLocaleString(Qt.locale(), "g", 6)
                color: tile.stale ? Theme.muted : tile.high || tile.low ? Theme.bad : Theme.text
                font { pixelSize: Theme.value; bold: true; preferShaping: false }
                fontSizeMode: Text.HorizontalFit
                minimumPixelSize: Theme.body
                Layout.preferredWidth: Math.min(Math.ceil(implicitWidth) + 1, tile.availableWidth - Theme.tiny)
            }
            Caption {
                text: tile.unit
                font.pixelSize: Theme.body
                Layout.alignment: Qt.AlignBaseline
                Layout.fillWidth: true
            }
        }
        Sparkline {
            Layout.fillWidth: true
            Layout.fillHeight: true
            values: tile.values
            color: tile.tone
            minimumSpan: tile.range[1] - tile.range[0] || 1
        }
    }
}
