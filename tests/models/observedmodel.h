// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qabstractitemmodel.h>
#include <QtTest/qabstractitemmodeltester.h>

namespace AmqpQt::Test
{

// The cells of a column in all rows, as the views get them: "a b c".
inline QByteArray cells(const QAbstractItemModel &model, int column, int role = Qt::DisplayRole)
{
    QByteArrayList cells;
    for (int row = 0; row < model.rowCount(); ++row)
        cells += model.index(row, column).data(role).toByteArray();
    return cells.join(' ');
}

// A model without an update interval, which is checked by a QAbstractItemModelTester, and whose changes are recorded:
// "insert 0-1", "remove 0-1", "change 0-1" and "reset".
template <typename Model>
class ObservedModel
{
public:
    ObservedModel()
    {
        using namespace Qt::StringLiterals;
        model.setUpdateInterval(0);
        const auto record = [this](const QString &change, int first, int last) {
            changes += u"%1 %2-%3"_s.arg(change).arg(first).arg(last);
        };
        QObject::connect(&model, &QAbstractItemModel::rowsInserted, &model,
                         [record](const QModelIndex &, int first, int last) { record(u"insert"_s, first, last); });
        QObject::connect(&model, &QAbstractItemModel::rowsRemoved, &model,
                         [record](const QModelIndex &, int first, int last) { record(u"remove"_s, first, last); });
        QObject::connect(&model, &QAbstractItemModel::dataChanged, &model,
                         [record](const QModelIndex &first, const QModelIndex &last) {
                             record(u"change"_s, first.row(), last.row());
                         });
        QObject::connect(&model, &QAbstractItemModel::modelReset, &model, [this] { changes += u"reset"_s; });
    }

    Model model;
    QAbstractItemModelTester tester{&model, QAbstractItemModelTester::FailureReportingMode::QtTest};
    QStringList changes;
};

} // namespace AmqpQt::Test
