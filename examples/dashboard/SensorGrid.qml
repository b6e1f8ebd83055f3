// SPDX-License-Identifier: MIT
import QtQuick
import AmqpQt

// A tile for each sensor, with as many columns as fit.
Item {
    id: area

    required property LatestValueModel model
    property var limits: ({})
    property real now: Date.now()

    implicitHeight: model.count > 0 ? grid.implicitHeight : 120

    Timer { running: area.visible; interval: 1000; repeat: true; onTriggered: area.now = Date.now() }

    Grid {
        id: grid
        readonly property int fitting: Math.max(1, Math.floor((width + spacing) / (144 + spacing)))
        readonly property int lines: Math.ceil(area.model.count / fitting)

        width: parent.width
        spacing: Theme.small
        columns: Math.max(Math.min(fitting, 4), Math.ceil(area.model.count / Math.max(1, lines))) // lines of the same length

        Repeater {
            model: area.model
            // qmllint disable unqualified
            SensorTile {
                required property int index
                readonly property int column: index % grid.columns
                readonly property real pitch: (grid.width + grid.spacing) / grid.columns
                width: Math.round((column + 1) * pitch) - Math.round(column * pitch) - grid.spacing
                now: area.now
                limits: area.limits
            }
            // qmllint enable unqualified
        }
    }
    Card {
        anchors.fill: parent
        visible: area.model.count === 0
        EmptyState {
            anchors.centerIn: parent
            icon: "gauge"
            title: qsTr("No readings yet")
            text: qsTr("A tile appears for each sensor that publishes. The example “sensors” has some.")
        }
    }
}
