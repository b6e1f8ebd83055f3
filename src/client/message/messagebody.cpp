// SPDX-License-Identifier: MIT
#include "client/message/messagebody_p.h"

#include <QtCore/qjsonarray.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qstringconverter.h>

#include <algorithm>

using namespace Qt::StringLiterals;

// The body of a message as text and as JSON.
namespace AmqpQt
{

namespace
{

// Returns the decoder of a character encoding. It is invalid for other encodings, such as that of a compressed body.
QStringDecoder decoderOf(const QString &encoding, QStringDecoder::Flag flag)
{
    if (!encoding.isEmpty()) {
        QStringDecoder decoder(encoding.toLatin1().constData(), flag);
        if (decoder.isValid())
            return decoder;
    }
    return QStringDecoder(QStringDecoder::Utf8, flag);
}

QByteArray toUtf8(const Message &message)
{
    const QString encoding = message.contentEncoding();
    if (encoding.isEmpty() || encoding.compare("UTF-8"_L1, Qt::CaseInsensitive) == 0)
        return message.body();
    return message.text().toUtf8();
}

bool isPrintable(QChar character)
{
    return character.category() != QChar::Other_Control || character.isSpace() ||
           character == u'\x1b'; // begins the colours of a terminal
}

} // namespace

QJsonValue parseJson(const Message &message)
{
    const QByteArray utf8 = toUtf8(message);
    QJsonParseError error;
    const QJsonDocument document = QJsonDocument::fromJson(utf8, &error);
    if (error.error == QJsonParseError::NoError)
        return document.isArray() ? QJsonValue(document.array()) : QJsonValue(document.object());
    // A JSON text may also be a single string or number, which QJsonDocument reads only inside an array.
    const QJsonArray scalar = QJsonDocument::fromJson('[' + utf8 + ']').array();
    return scalar.size() == 1 ? scalar.first() : QJsonValue(QJsonValue::Undefined);
}

QJsonValue jsonAt(QJsonValue value, QStringView path)
{
    if (path.isEmpty())
        return value;
    const auto keys = path.split(u'.');
    for (const QStringView key : keys) {
        if (value.isObject()) {
            value = value.toObject().value(key);
        } else if (value.isArray()) {
            bool isNumber = false;
            const int index = key.toInt(&isNumber);
            value = isNumber ? value.toArray().at(index) : QJsonValue(QJsonValue::Undefined);
        } else {
            return QJsonValue::Undefined;
        }
    }
    return value;
}

std::optional<QString> textStart(const Message &message, qsizetype length)
{
    const QByteArray body = message.body();
    const qsizetype bytes = qMin(body.size(), 4 * (length + 1)); // a character has at most four bytes
    const auto flag = bytes == body.size() ? QStringDecoder::Flag::Stateless : QStringDecoder::Flag::Default;
    QStringDecoder decoder = decoderOf(message.contentEncoding(), flag);
    const QString text = decoder.decode(QByteArrayView(body).first(bytes));
    if (decoder.hasError() || !std::all_of(text.begin(), text.end(), isPrintable))
        return std::nullopt;
    return text;
}

/*!
    Returns a persistent message whose body is \a text in UTF-8, with the content type \c text/plain and the content
    encoding \c UTF-8.
*/
Message Message::fromText(QStringView text)
{
    Message message(text.toUtf8(), u"text/plain"_s);
    message.setContentEncoding(u"UTF-8"_s);
    return message;
}

/*!
    Returns a persistent message whose body is \a document in compact form, with the content type \c application/json.
*/
Message Message::fromJson(const QJsonDocument &document)
{
    return Message(document.toJson(QJsonDocument::Compact), u"application/json"_s);
}

/*!
    \property AmqpQt::Message::text
    \brief the body as text.

    It is decoded with the character encoding that contentEncoding names, such as \c ISO-8859-1 or \c UTF-16, and as
    UTF-8 if it is empty or names something else, such as \c gzip. Undecodable bytes become replacement characters.
*/
QString Message::text() const
{
    return decoderOf(contentEncoding(), QStringDecoder::Flag::Stateless).decode(body());
}

/*!
    Returns the part of the JSON body at \a path: the keys of objects and the indexes of arrays, from 0, separated by
    dots, as in \c{"order.items.0.price"}. With an empty path it returns the whole body. Objects become QVariantMap,
    arrays QVariantList, \c null a null pointer.

    The QVariant is invalid if the body is not JSON or has no value at this path. A key that contains a dot cannot be
    named here; use jsonDocument(). The body is parsed in each call.
*/
QVariant Message::json(const QString &path) const
{
    return jsonAt(parseJson(*this), path).toVariant();
}

/*!
    Parses the body as a JSON object or array, in the character encoding that text() would use. If the body is neither,
    returns a null document and sets \a error, unless it is null, to the reason.
*/
QJsonDocument Message::jsonDocument(QJsonParseError *error) const
{
    return QJsonDocument::fromJson(toUtf8(*this), error);
}

} // namespace AmqpQt
