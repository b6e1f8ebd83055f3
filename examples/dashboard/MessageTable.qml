// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import AmqpQt

// The latest messages. Selecting one pauses the table, since the selection stays in its row while messages move on.
Card {
    id: card

    required property MessageModel messages // with the columns timestamp, routingKey, json.value, text
    property int selectedRow: -1
    property var selectedMessage            // undefined if there is none
    readonly property bool narrow: width < 560
    property real totalWhenPaused: 0
    readonly property var titles: [qsTr("Time"), qsTr("Routing key"), qsTr("Value"), qsTr("Body")]

    function resume() {
        selectedRow = -1
        messages.paused = false
    }
    function focusFilter() {
        filter.forceActiveFocus(Qt.ShortcutFocusReason)
        filter.selectAll()
    }
    function moveSelection(step: int) {
        selectedRow = Math.max(0, Math.min(messages.count - 1, selectedRow + step))
    }
    function columnWidth(column: int): int {
        const widths = narrow ? [84, table.width - 84 - 88, 88, 0] : [96, 208, 96, table.width - 96 - 208 - 96]
        return widths[column]
    }

    onSelectedRowChanged: {
        if (selectedRow < 0 || selectedRow >= messages.count) {
            selectedRow = -1
            selectedMessage = undefined
            return
        }
        messages.paused = true
        selectedMessage = messages.get(selectedRow)
        table.positionViewAtRow(selectedRow, TableView.Contain)
    }

    padding: 1                              // the border
    bottomPadding: Theme.small
    ColumnLayout {
        anchors.fill: parent
        spacing: 0
        GridLayout {
            columnSpacing: Theme.small
            rowSpacing: Theme.small
            Layout.margins: Theme.medium
            Layout.leftMargin: Theme.large
            Heading { text: qsTr("Messages"); Layout.row: 0; Layout.column: 0 }
            Caption {
                Layout.row: 0
                Layout.column: 1
                Layout.fillWidth: true
                text: !card.messages.paused ? ""
                    : qsTr("paused, %L1 newer").arg(Math.max(0, card.messages.totalCount - card.totalWhenPaused))
            }
            Field {
                id: filter
                Layout.row: card.narrow ? 1 : 0
                Layout.column: card.narrow ? 0 : 2
                Layout.columnSpan: card.narrow ? 3 : 1
                Layout.fillWidth: card.narrow
                Layout.preferredWidth: 224
                placeholderText: qsTr("Filter: sensor.*.humidity")
                onTextEdited: { card.selectedRow = -1; card.messages.filterRoutingKey = text.trim() }
                Keys.onEscapePressed: { clear(); textEdited() }
            }
            FlatButton {
                Layout.row: 0
                Layout.column: card.narrow ? 2 : 3
                text: card.messages.paused ? qsTr("Resume") : qsTr("Pause")
                iconName: card.messages.paused ? "play" : "pause"
                highlighted: card.messages.paused
                onClicked: if (card.messages.paused) card.resume(); else card.messages.paused = true
            }
        }
        Rectangle {
            Layout.fillWidth: true
            implicitHeight: 32
            color: Theme.raised
            Row {
                anchors.fill: parent
                Repeater {
                    model: card.titles
                    // qmllint disable unqualified
                    Caption {
                        required property int index
                        required property string modelData
                        text: modelData
                        width: card.columnWidth(index)
                        visible: width > 0
                        height: 32
                        leftPadding: index === 0 ? Theme.large : Theme.small
                        rightPadding: index === 2 ? Theme.large : Theme.small
                        verticalAlignment: Text.AlignVCenter
                        horizontalAlignment: index === 2 ? Text.AlignRight : Text.AlignLeft
                    }
                    // qmllint enable unqualified
                }
            }
        }
        Item {
            Layout.fillWidth: true
            Layout.fillHeight: true
            TableView {
                id: table
                width: parent.width
                height: parent.height - parent.height % 32 // whole rows
                clip: true
                activeFocusOnTab: true
                boundsBehavior: Flickable.StopAtBounds
                model: card.messages
                columnWidthProvider: column => card.columnWidth(column)
                rowHeightProvider: () => 32
                onWidthChanged: forceLayout()
                // qmllint disable unqualified
                delegate: MessageCell {
                    selected: row === card.selectedRow
                    onClicked: card.selectedRow = row
                }
                // qmllint enable unqualified
                Accessible.role: Accessible.Table
                Accessible.name: qsTr("Messages, the newest first")
                Keys.onUpPressed: card.moveSelection(-1)
                Keys.onDownPressed: card.moveSelection(1)
                ScrollBar.vertical: ScrollBar {}
                FocusRing { parent: table; anchors.margins: 1; radius: Theme.small; shown: table.activeFocus && card.selectedRow < 0; z: 1 }
                EmptyState {
                    parent: table
                    anchors.centerIn: parent
                    visible: card.messages.count === 0
                    icon: card.messages.filterRoutingKey ? "filter" : "inbox"
                    title: card.messages.filterRoutingKey ? qsTr("No message matches the filter") : qsTr("No messages yet")
                    text: card.messages.filterRoutingKey ? qsTr("* stands for one word of the routing key, # for any number.")
                        : qsTr("They appear here as they are delivered.")
                }
            }
        }
    }
    Connections {
        target: card.messages
        function onPausedChanged() { card.totalWhenPaused = card.messages.totalCount }
    }
}
