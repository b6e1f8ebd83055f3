// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic

// A cell of the MessageTable.
Rectangle {
    id: cell

    required property var display
    required property int row
    required property int column
    property bool selected: false

    signal clicked()

    color: selected ? Theme.tinted(Theme.accent, 0.16) : Theme.surface
    Accessible.role: Accessible.Cell
    Accessible.name: label.text

    Rectangle { width: parent.width; height: 1; anchors.bottom: parent.bottom; color: Theme.outline; opacity: 0.6 }
    Rectangle { width: 3; height: parent.height; color: Theme.accent; visible: cell.selected && cell.column === 0 }
    Label {
        id: label
        anchors.fill: parent
        leftPadding: cell.column === 0 ? Theme.large : Theme.small
        rightPadding: cell.column === 2 ? Theme.large : Theme.small
        text: cell.display instanceof Date ? Qt.formatTime(cell.display, "hh:mm:ss")
            : typeof cell.display === "number" ? cell.display.toLocaleString(Qt.locale(), "f", 1) : cell.display ?? ""
        textFormat: Text.PlainText      // published text is not markup
        color: cell.column === 1 || cell.column === 2 ? Theme.text : Theme.muted
        font { pixelSize: Theme.body; preferShaping: false }
        elide: Text.ElideRight
        verticalAlignment: Text.AlignVCenter
        horizontalAlignment: cell.column === 2 ? Text.AlignRight : Text.AlignLeft
    }
    TapHandler { onTapped: { cell.TableView.view.forceActiveFocus(Qt.MouseFocusReason); cell.clicked() } }
}
