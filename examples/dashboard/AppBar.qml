// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Layouts
import AmqpQt

// The title, the state of the connection, and the buttons for the whole window.
Rectangle {
    id: bar

    required property Connection connection
    required property string title
    signal settingsRequested()

    implicitHeight: 56
    color: Theme.surface

    Rectangle { width: parent.width; height: 1; anchors.bottom: parent.bottom; color: Theme.outline }
    RowLayout {
        anchors.fill: parent
        anchors.leftMargin: Theme.large
        anchors.rightMargin: Theme.small
        spacing: Theme.tiny

        Rectangle {
            implicitWidth: 32
            implicitHeight: 32
            radius: Theme.small
            color: Theme.accent
            Icon { anchors.centerIn: parent; name: "gauge"; size: 20; color: Theme.accentText }
        }
        ColumnLayout {
            spacing: 0
            Layout.leftMargin: Theme.small
            Heading { text: bar.title; font.pixelSize: Theme.title; Layout.fillWidth: true }
            Caption {
                text: bar.connection.host + ":" + bar.connection.port
                    + (bar.connection.virtualHost === "/" ? "" : ", " + bar.connection.virtualHost)
                Layout.fillWidth: true
            }
        }
        ConnectionBadge { connection: bar.connection; Layout.rightMargin: Theme.small }
        FlatButton {
            iconName: Theme.dark ? "sun" : "moon"
            Accessible.name: Theme.dark ? qsTr("Light theme") : qsTr("Dark theme")
            onClicked: Theme.dark = !Theme.dark
        }
        FlatButton {
            iconName: "settings"
            Accessible.name: qsTr("Settings")
            onClicked: bar.settingsRequested()
        }
    }
}
