// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import AmqpQt

// The address to connect to, and information about the broker.
Drawer {
    id: drawer

    required property Connection connection

    function apply() {
        if (urlField.text !== String(connection.url))
            connection.url = urlField.text
        connection.active = true
        close()
    }

    edge: Qt.RightEdge
    width: Math.min(400, parent.width - 48)
    height: parent.height
    topPadding: Theme.large // a Drawer ignores padding alone
    bottomPadding: Theme.large
    leftPadding: Theme.large
    rightPadding: Theme.large
    onAboutToShow: urlField.text = connection.url   // without the password
    onOpened: urlField.forceActiveFocus(Qt.PopupFocusReason)
    background: Rectangle {
        color: Theme.surface
        Rectangle { width: 1; height: parent.height; color: Theme.outline }
    }

    component Fact: RowLayout {
        property alias name: nameLabel.text
        property alias value: valueLabel.text
        Layout.fillWidth: true
        Label { id: nameLabel; color: Theme.muted; font.pixelSize: Theme.body; Layout.fillWidth: true }
        Label { id: valueLabel; color: Theme.text; font.pixelSize: Theme.body; textFormat: Text.PlainText }
    }

    ColumnLayout {
        anchors.fill: parent
        spacing: Theme.medium
        RowLayout {
            Heading { text: qsTr("Settings"); font.pixelSize: Theme.title; Layout.fillWidth: true }
            FlatButton { iconName: "close"; Accessible.name: qsTr("Close the settings"); onClicked: drawer.close() }
        }
        Caption { text: qsTr("Broker") }
        Field {
            id: urlField
            Layout.fillWidth: true
            placeholderText: "amqp://user:password@host/vhost"
            Accessible.name: qsTr("URL of the broker")
            inputMethodHints: Qt.ImhUrlCharactersOnly | Qt.ImhNoPredictiveText
            onAccepted: drawer.apply()
        }
        RowLayout {
            spacing: Theme.small
            FlatButton { text: qsTr("Connect"); highlighted: true; onClicked: drawer.apply() }
            FlatButton {
                text: qsTr("Disconnect")
                enabled: drawer.connection.active
                onClicked: drawer.connection.active = false
            }
        }
        Rectangle { Layout.fillWidth: true; implicitHeight: 1; color: Theme.outline }
        Caption { text: qsTr("This connection") }
        Fact {
            readonly property var server: drawer.connection.serverProperties
            name: qsTr("Server")
            value: [server.product, server.version].join(" ").trim() || "–"
        }
        Fact { name: qsTr("Received"); value: qsTr("%L1 messages").arg(drawer.connection.statistics.messagesIn) }
        Fact { name: qsTr("Sent"); value: qsTr("%L1 messages").arg(drawer.connection.statistics.messagesOut) }
        Fact { name: qsTr("Waiting to be written"); value: Qt.locale().formattedDataSize(drawer.connection.bytesToWrite, 0) }
        Item { Layout.fillHeight: true }
    }
}
