// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import AmqpQt

// Spans the window while there is an error, and shows the error, its cause and the next step.
Item {
    id: banner

    required property Connection connection
    property string elementError    // of a queue, for example

    readonly property bool offline: !connection.active || connection.bannerText !== ""
    readonly property bool shown: offline || (connection.connected && (connection.blocked || elementError !== ""))
    readonly property color tone: !connection.active ? Theme.muted : !offline && connection.blocked ? Theme.warning : Theme.bad
    readonly property string title: !connection.active ? qsTr("Offline") : offline ? qsTr("Not connected")
        : connection.blocked ? qsTr("The broker accepts no messages") : qsTr("The broker refused something")
    readonly property string reason: {
        if (!connection.active)
            return qsTr("Nothing is sent or received until you connect.")
        if (!offline && connection.connected)
            return connection.blocked ? qsTr("Reason: %1. Published messages wait.").arg(connection.blockedReason) : elementError
        return connection.bannerText
    }

    clip: true
    implicitHeight: shown ? row.implicitHeight + 2 * Theme.small : 0
    visible: implicitHeight > 0
    Behavior on implicitHeight { NumberAnimation { duration: Theme.duration; easing.type: Easing.OutCubic } }
    Accessible.role: Accessible.AlertMessage
    Accessible.name: title + ". " + reason

    Rectangle { anchors.fill: parent; color: Theme.tinted(banner.tone, 0.12) }
    Rectangle { width: parent.width; height: 1; anchors.bottom: parent.bottom; color: Theme.faint(banner.tone, 0.5) }
    RowLayout {
        id: row
        anchors { left: parent.left; right: parent.right; bottom: parent.bottom; margins: Theme.small }
        anchors.leftMargin: Theme.large
        anchors.rightMargin: Theme.large
        spacing: Theme.medium

        Icon { name: banner.offline ? "offline" : "alert"; color: banner.tone; size: 20 }
        ColumnLayout {
            spacing: 0
            Layout.minimumHeight: Theme.controlHeight
            Label {
                Layout.fillWidth: true
                text: banner.title
                color: banner.tone
                font { pixelSize: Theme.body; bold: true }
                elide: Text.ElideRight
            }
            Label {
                Layout.fillWidth: true
                visible: text !== ""
                text: banner.reason
                textFormat: Text.PlainText
                color: Theme.text
                font.pixelSize: Theme.body
                wrapMode: Text.Wrap
                maximumLineCount: 3
                elide: Text.ElideRight
            }
        }
        FlatButton {
            visible: banner.offline
            text: qsTr("Connect now")
            onClicked: banner.connection.reconnect()
        }
    }
}
