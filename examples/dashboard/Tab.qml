// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic

// A button of Tabs: an icon with its text below.
TabButton {
    id: button

    required property string iconName
    readonly property color tone: checked ? Theme.accent : Theme.muted

    implicitHeight: 56
    padding: 0
    background: FocusRing { anchors.margins: 2; shown: button.visualFocus }
    contentItem: Item {
        Column {
            anchors.centerIn: parent
            spacing: Theme.tiny
            Icon { name: button.iconName; color: button.tone; anchors.horizontalCenter: parent.horizontalCenter }
            Caption { text: button.text; color: button.tone; anchors.horizontalCenter: parent.horizontalCenter }
        }
    }
}
