// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Templates as T
import AmqpQt as Amqp

// A coloured dot and words for the state of a connection.
T.Control {
    id: control

    property Amqp.Connection connection: null
    readonly property string text: connection ? connection.stateText : ""
    readonly property color color: {
        if (!connection)
            return "#9e9e9e"
        switch (connection.calmState) {
        case Amqp.Connection.Open: return connection.blocked ? "#ef6c00" : "#2e7d32"
        case Amqp.Connection.Closed: return connection.errorString ? "#b71c1c" : "#9e9e9e"
        default: return "#f9a825"
        }
    }

    implicitWidth: implicitContentWidth + leftPadding + rightPadding
    implicitHeight: implicitContentHeight + topPadding + bottomPadding
    padding: 6

    Accessible.role: Accessible.StaticText
    Accessible.name: text

    contentItem: Row {
        spacing: 6

        Rectangle {
            anchors.verticalCenter: parent.verticalCenter
            width: control.font.pixelSize
            height: width
            radius: width / 2
            color: control.color
        }
        Text {
            text: control.text
            font: control.font
            color: control.palette.windowText
            elide: Text.ElideRight
        }
    }
}
