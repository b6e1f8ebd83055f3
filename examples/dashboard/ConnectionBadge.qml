// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import AmqpQt

// The state of the connection in one or two words; the reasons are in the Banner.
Rectangle {
    id: badge

    required property Connection connection

    readonly property string text: {
        switch (connection.calmState) {
        case Connection.Open: return connection.blocked ? qsTr("Blocked") : qsTr("Connected")
        case Connection.Closed: return qsTr("Offline")
        case Connection.Closing: return qsTr("Closing")
        case Connection.Recovering: return qsTr("Reconnecting")
        default: return qsTr("Connecting")
        }
    }
    readonly property color tone: {
        switch (connection.calmState) {
        case Connection.Open: return connection.blocked ? Theme.warning : Theme.good
        case Connection.Closed: return connection.active ? Theme.bad : Theme.muted
        case Connection.Recovering: return Theme.bad
        default: return Theme.muted
        }
    }

    implicitWidth: row.implicitWidth + 2 * Theme.medium
    implicitHeight: 28
    radius: height / 2
    color: Theme.raised
    Accessible.role: Accessible.StaticText
    Accessible.name: text

    Row {
        id: row
        anchors.centerIn: parent
        spacing: Theme.small
        Rectangle { anchors.verticalCenter: parent.verticalCenter; width: 8; height: 8; radius: 4; color: badge.tone }
        Label { text: badge.text; color: Theme.text; font.pixelSize: Theme.body }
    }
}
