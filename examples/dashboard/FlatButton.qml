// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// A button with an icon, a text or both; filled with the accent if it is highlighted. Without a text give it an
// Accessible.name.
AbstractButton {
    id: button

    property string iconName
    property bool highlighted: false
    property color color: highlighted ? Theme.accentText : Theme.text

    implicitHeight: Theme.controlHeight
    implicitWidth: Math.max(implicitHeight, implicitContentWidth + leftPadding + rightPadding)
    leftPadding: text ? Theme.medium : Theme.small
    rightPadding: leftPadding
    font.pixelSize: Theme.body
    opacity: enabled ? 1 : 0.45
    hoverEnabled: true
    focusPolicy: Qt.StrongFocus

    ToolTip.text: Accessible.name
    ToolTip.visible: !text && hovered && ToolTip.text !== ""
    ToolTip.delay: 600

    contentItem: RowLayout {
        spacing: Theme.small
        Icon {
            Layout.alignment: Qt.AlignCenter
            visible: button.iconName !== ""
            name: button.iconName || "flat"
            color: button.color
        }
        Label {
            Layout.alignment: Qt.AlignCenter
            visible: text !== ""
            text: button.text
            font: button.font
            color: button.color
        }
    }
    background: Rectangle {
        radius: Theme.small
        color: button.highlighted ? Theme.accent : button.checked || button.hovered ? Theme.raised : "transparent"
        border.color: button.highlighted ? Theme.accent : Theme.control
        border.width: button.text ? 1 : 0
        Rectangle { // darkens while it is pressed
            anchors.fill: parent
            radius: parent.radius
            color: Theme.text
            opacity: button.down ? 0.16 : 0
        }
        FocusRing { shown: button.visualFocus }
    }
}
